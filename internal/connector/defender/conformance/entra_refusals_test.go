package conformance_test

var entraRefusalStatements []statement
