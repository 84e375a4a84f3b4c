package conformance_test

var exportStatements []statement
