package conformance_test

var entraStatements []statement
