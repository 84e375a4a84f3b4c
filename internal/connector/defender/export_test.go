package defender

// TestKeys lends the keys of this package's tests to those that see it from outside.
var TestKeys = testKeys
