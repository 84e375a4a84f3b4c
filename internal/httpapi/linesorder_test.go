package httpapi_test

import (
	"context"
	"sync"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// movingLists are read a record at a time, and all records move behind the first one that is read.
type movingLists struct {
	httpapi.AssetReader
	httpapi.VulnerabilityReader
	move func()
}

func (l movingLists) ListAssets(ctx context.Context, t tenant.ID, f inventory.AssetFilter, page inventory.PageRequest) ([]inventory.Asset, inventory.Position, error) {
	page.Limit = 1
	list, end, err := l.AssetReader.ListAssets(ctx, t, f, page)
	l.move()
	return list, end, err
}

func (l movingLists) ListVulnerabilities(ctx context.Context, t tenant.ID, f inventory.VulnerabilityFilter, page inventory.PageRequest) ([]inventory.ExposedVulnerability, inventory.Position, error) {
	page.Limit = 1
	list, end, err := l.VulnerabilityReader.ListVulnerabilities(ctx, t, f, page)
	l.move()
	return list, end, err
}

// TestWhatChangesIsNotStreamedTwice renames all assets, and rates all vulnerabilities lower, while they are streamed.
func TestWhatChangesIsNotStreamedTwice(t *testing.T) {
	t.Parallel()
	var h *house
	var once sync.Once
	h = newHouse(t, func(d *httpapi.Deps) {
		l := movingLists{d.Assets, d.Vulnerabilities, func() {
			once.Do(func() {
				h.exec(`update asset set hostname = 'zz-' || hostname; update exposure set severity = greatest(severity - 1, 0)`)
			})
		}}
		d.Assets, d.Vulnerabilities = l, l
	})
	h.furnish(h.mine)
	c := h.client(h.mine, tenant.ReadOnly)
	if lines := jsonLines(t, c.StreamAssets(t.Context(), api.ListAssetsOptions{})); len(lines) != 2 {
		t.Errorf("of two assets %d are streamed: %v", len(lines), lines)
	}
	once = sync.Once{}
	if lines := jsonLines(t, c.StreamVulnerabilities(t.Context(), api.ListVulnerabilitiesOptions{})); len(lines) != 2 {
		t.Errorf("of two vulnerabilities %d are streamed: %v", len(lines), lines)
	}
}
