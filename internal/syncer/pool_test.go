package syncer_test

import (
	"fmt"
	"sync"
	"testing"

	"pgp.internal/defender/internal/syncer"
)

// TestRunsAtOnceShareThePool carries out as many first runs at once as the service allows with a test's 8 connections: each holds
// one, needs another now and then, and two are to spare.
func TestRunsAtOnceShareThePool(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 6, 4)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	const workers = 3
	for n := range workers {
		id := fmt.Sprintf("5a1e5b0c-0c8e-4d1c-9a52-%012x", n+1)
		h.addDirectory(plain(spec(id, 6, 4)))
		h.connectTo(h.newTenant(fmt.Sprintf("Tenant %d", n), true), id, nil)
	}
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { mustSucceed(t, h.work()) })
	}
	group.Wait()
}
