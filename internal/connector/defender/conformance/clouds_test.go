package conformance_test

var cloudStatements []statement
