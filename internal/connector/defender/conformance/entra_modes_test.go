package conformance_test

var entraModeStatements []statement
