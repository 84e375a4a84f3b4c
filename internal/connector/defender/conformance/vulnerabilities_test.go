package conformance_test

var vulnerabilityStatements []statement
