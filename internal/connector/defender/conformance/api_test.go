package conformance_test

var apiStatements []statement
