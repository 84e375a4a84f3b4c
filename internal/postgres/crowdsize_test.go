//go:build !scale

package postgres_test

// Of a crowded inventory: the assets of its main tenant, with ten findings each, and the shared catalogue, a tenth of
// which the tenants are exposed to.
const (
	crowdedAssets    = 5_000
	crowdedCatalogue = 20_000
	crowdedWalk      = 5_000 // findings that a page passes over at most
)
