-- The server's clock, the only one that leases and due times know. Milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
