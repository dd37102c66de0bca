-- The waiting room before Plone: ends as soon as Plone listens, or when it is said that no other Plone takes over.
-- HAProxy's own retries do not help: a socket without a listener refuses at once, so they are spent in a millisecond.

local PAUSE_MILLISECONDS = 50

-- The map is the pilot's to set. It can only be opened while HAProxy starts.
local waits = Map.new("/etc/eduhub/edge/waits.map", Map._str)

local function listens(address)
  local socket = core.tcp()
  socket:settimeout(1)
  local found = socket:connect(address)
  socket:close()
  return found
end

-- lua.wait ADDRESS SECONDS
core.register_action("wait", { "http-req" }, function(txn, address, seconds)
  local deadline = core.now().sec + tonumber(seconds)
  while core.now().sec < deadline and waits:lookup("plone") == "yes" do
    if listens(address) then
      return
    end
    core.msleep(PAUSE_MILLISECONDS)
  end
end, 2)
