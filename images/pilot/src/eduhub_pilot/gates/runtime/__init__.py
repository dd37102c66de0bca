"""The gate `runtime`: the code in the candidate's image runs on its Python."""
