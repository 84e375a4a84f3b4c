package postgres

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/go-json-experiment/json"

	"pgp.internal/defender/internal/inventory"
)

// readAddresses reads asset.addresses, a JSON array.
func readAddresses(text string) ([]inventory.Address, error) {
	if out, ok := usualAddresses(text); ok {
		return out, nil
	}
	return anyAddresses(text)
}

func anyAddresses(text string) ([]inventory.Address, error) {
	var stored []addressDocument
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return nil, fmt.Errorf("addresses: %w", err)
	}
	return each(stored, func(a addressDocument) inventory.Address {
		return inventory.Address{IP: a.IP, MAC: a.MAC, Scope: a.Scope, InterfaceType: a.Type, Up: a.Up}
	}), nil
}

// usualAddresses reads what writeAsset stores in the one layout that jsonb gives it. Each asset of a page has some, and reading any JSON takes
// many times as long. What looks different, or has anything escaped, is left to that.
func usualAddresses(text string) ([]inventory.Address, bool) {
	t := layout{rest: text}
	out := make([]inventory.Address, 0, strings.Count(text, "{"))
	for t.must("["); !t.odd && t.rest != "]"; {
		if len(out) > 0 {
			t.must(", ")
		}
		ip, err := netip.ParseAddr(t.text(`{"ip": "`))
		a := inventory.Address{IP: ip, Up: t.took(`, "up": true`)}
		if !a.Up {
			t.must(`, "up": false`)
		}
		a.MAC, a.InterfaceType, a.Scope = t.text(`, "mac": "`), t.text(`, "type": "`), t.text(`, "scope": "`)
		t.must("}")
		t.odd = t.odd || err != nil
		out = append(out, a)
	}
	return out, !t.odd
}

// readCloud reads asset.cloud, a JSON object or nothing.
func readCloud(text string) (*inventory.Cloud, error) {
	if text == "" {
		return nil, nil
	}
	if out, ok := usualCloud(text); ok {
		return out, nil
	}
	return anyCloud(text)
}

func anyCloud(text string) (*inventory.Cloud, error) {
	var stored *cloudDocument
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return nil, fmt.Errorf("cloud: %w", err)
	}
	if stored == nil {
		return nil, nil
	}
	return &inventory.Cloud{Provider: stored.Provider, ResourceID: stored.ResourceID, Account: stored.Account, VMID: stored.VMID}, nil
}

// usualCloud is to clouds what usualAddresses is to addresses.
func usualCloud(text string) (*inventory.Cloud, bool) {
	t, out := layout{rest: text}, new(inventory.Cloud)
	between := "{"
	for _, member := range []struct {
		lead string
		into *string
	}{{`"vm_id": "`, &out.VMID}, {`"account": "`, &out.Account}, {`"provider": "`, &out.Provider}, {`"resource_id": "`, &out.ResourceID}} {
		if lead := between + member.lead; strings.HasPrefix(t.rest, lead) {
			*member.into = t.text(lead)
			between = ", "
		}
	}
	t.must("}")
	return out, !t.odd && t.rest == "" && between != "{"
}

// layout is a text of a known layout, until it turns out to be odd.
type layout struct {
	rest string
	odd  bool
}

// took passes over what may be there.
func (t *layout) took(what string) bool {
	rest, ok := strings.CutPrefix(t.rest, what)
	t.rest = rest
	return ok
}

func (t *layout) must(what string) {
	if !t.took(what) {
		t.odd = true
	}
}

// text reads a member that may be missing, up to the quotation mark that ends it.
func (t *layout) text(lead string) string {
	if !t.took(lead) {
		return ""
	}
	value, rest, closed := strings.Cut(t.rest, `"`)
	t.rest = rest
	t.odd = t.odd || !closed || strings.Contains(value, `\`)
	return value
}
