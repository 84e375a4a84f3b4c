package conformance_test

var machineStatements []statement
