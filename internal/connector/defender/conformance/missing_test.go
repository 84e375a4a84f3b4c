package conformance_test

// missing are the numbers without a check. It must be empty in a finished suite.
var missing = []int{}
