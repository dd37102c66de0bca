-- The waiting room of a slot that crashed: ends as soon as somebody listens again, or traffic goes elsewhere.
-- HAProxy's own retries do not help here: a socket without a listener refuses at once, so they are spent in a millisecond.

local PAUSE_MILLISECONDS = 50

-- The map that the frontends go by: one of the same file is the same map. It can only be opened while HAProxy starts,
-- so no converter (txn.c:map_str_int) can read it later.
local traffic = Map.new("/var/lib/eduhub/edge/traffic.map", Map._str)

local function listens(address)
  local socket = core.tcp()
  socket:settimeout(1)
  local found = socket:connect(address)
  socket:close()
  return found
end

-- lua.wait ADDRESS SHARE SECONDS: SHARE is what green has when this slot gets no request any more.
core.register_action("wait", { "http-req" }, function(txn, address, share, seconds)
  local deadline = core.now().sec + tonumber(seconds)
  while core.now().sec < deadline do
    if traffic:lookup("green") == share or listens(address) then
      return
    end
    core.msleep(PAUSE_MILLISECONDS)
  end
end, 3)
