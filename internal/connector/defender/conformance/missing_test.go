package conformance_test

// missing are the numbers without a check. It must be empty in a finished suite.
var missing = []int{}

// unserved are routes below /api/machines that this repository's double does not have yet. It must be empty in a finished suite.
var unserved = []string{}
