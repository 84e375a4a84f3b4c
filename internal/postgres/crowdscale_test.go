//go:build scale

package postgres_test

// The sizes of crowdsize_test.go for "make plans": a million findings.
const (
	crowdedAssets    = 100_000
	crowdedCatalogue = 200_000
	crowdedWalk      = 50_000
)
