// The first process of each pod: holds its namespaces.
module postroad.dev/test/pause

go 1.26.0
