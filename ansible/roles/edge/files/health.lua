-- Whether the live slot answers, for a balancer that asks for the health of this host.
-- Nobody's request depends on it, and a slot is asked once a second at most, however many ask here.

local SECONDS = 2
-- Liveness: Plone may be down, and is then down for every host. A bridge without this page answers 404, and so serves.
local REQUEST = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

local traffic = Map.new("/var/lib/eduhub/edge/traffic.map", Map._str)
local transports = Map.new("/var/lib/eduhub/edge/transport.map", Map._str)
local known = { blue = {}, green = {} }

local function answers(address)
  local socket = core.tcp()
  socket:settimeout(SECONDS)
  local line = socket:connect(address) and socket:send(REQUEST) and socket:receive("*l")
  socket:close()
  local status = line and tonumber(line:match("^HTTP/1%.[01] (%d%d%d)"))
  return status ~= nil and status < 500
end

-- lua.serves BLUE GREEN: sets txn.serves; BLUE and GREEN are the ports of slots that only speak TCP.
core.register_action("serves", { "http-req" }, function(txn, blue, green)
  local slot = tonumber(traffic:lookup("green") or 0) < 50 and "blue" or "green"
  local last, now = known[slot], core.now().sec
  -- HAProxy's threads read the clock at different times: one may be a second behind. Further back it was set.
  if last.serves == nil or now > last.asked or now < last.asked - 1 then
    last.asked = now -- who asks meanwhile gets the answer from before
    local tcp = transports:lookup(slot) == "tcp"
    local port = slot == "blue" and blue or green
    last.serves = answers(tcp and "127.0.0.1:" .. port or "unix@/run/eduhub/" .. slot .. "/bridge.sock")
  end
  txn:set_var("txn.serves", last.serves)
end, 2)
