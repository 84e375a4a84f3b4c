package conformance_test

import (
	"net/http/httptest"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// startOwn starts this repository's double. No other file of the suite knows it.
func startOwn(t *testing.T) (base, control string) {
	t.Helper()
	sim := defendersim.New(defendersim.Config{Seed: 1, CatalogueSize: 600})
	api, controls := httptest.NewServer(sim.Handler()), httptest.NewServer(sim.ControlHandler())
	t.Cleanup(api.Close)
	t.Cleanup(controls.Close)
	t.Cleanup(sim.ClearFaults)
	return api.URL, controls.URL
}
