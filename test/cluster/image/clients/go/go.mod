module example.com/postroad-client

go 1.22
