"""What is sealed for a job opens for that job, and for no other."""

from __future__ import annotations

import hashlib

from nacl.secret import SecretBox

from eduhub_bridge.jobs.seal import Seal

KEY = "k" * 32


def test_a_credential_opens_for_its_own_job_in_every_process_with_the_key():
    one, other = Seal(KEY), Seal(KEY)
    assert one.name == other.name
    assert other.open(one.close("Basic x", "job"), "job", one.name) == "Basic x"


def test_a_credential_that_was_put_into_another_job_opens_nothing():
    seal = Seal(KEY)
    assert seal.open(seal.close("Basic x", "job"), "other", seal.name) is None
    assert seal.open(seal.close("Basic x", "job"), "other", seal.names[1]) is None


def test_another_key_opens_nothing():
    seal = Seal(None)
    assert seal.name not in Seal(None).names
    assert Seal(KEY).open(seal.close("Basic x", "job"), "job", seal.name) is None
    assert Seal(KEY).open(b"short", "job", seal.name) is None


def test_a_job_of_the_version_before_goes_on():
    key = hashlib.blake2b(KEY.encode(), digest_size=32, person=b"eduhub-state").digest()
    name = hashlib.blake2b(KEY.encode(), digest_size=8, person=b"eduhub-name").hexdigest()
    seal = Seal(KEY)
    assert name in seal.names
    assert seal.open(bytes(SecretBox(key).encrypt(b"Basic x")), "job", name) == "Basic x"
