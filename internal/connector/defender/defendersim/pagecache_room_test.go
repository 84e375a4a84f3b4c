package defendersim

import (
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

func TestTheCacheKeepsWithinItsLimit(t *testing.T) {
	t.Parallel()
	old, present := &world.State{}, &world.State{}
	p := newPageCache(10)
	p.put(pageKey{state: old, version: 1}, make([]byte, 4))
	p.put(pageKey{state: present, version: 2}, make([]byte, 4))
	p.put(pageKey{state: present, version: 2, size: 1}, make([]byte, 11))
	p.put(pageKey{state: present, version: 2, size: 2}, make([]byte, 6))
	for key, want := range map[pageKey]bool{
		{state: old, version: 1}: false, {state: present, version: 2}: true,
		{state: present, version: 2, size: 1}: false, {state: present, version: 2, size: 2}: true,
	} {
		if _, got := p.get(key); got != want {
			t.Errorf("version %d, size %d: kept %t", key.version, key.size, got)
		}
	}
	p.put(pageKey{state: present, version: 2, size: 3}, make([]byte, 1))
	if len(p.pages) != 1 || p.size != 1 {
		t.Errorf("%d pages of %d bytes", len(p.pages), p.size)
	}
	if _, ok := newPageCache(0).get(pageKey{}); ok {
		t.Error("no cache has a page")
	}
}
