package postgres_test

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// TestUsualAddressesAreReadLikeAnyOthers lets PostgreSQL lay out addresses of all kinds, and reads them both ways: what the service
// stores must be usual, and what is read that way must be right.
func TestUsualAddressesAreReadLikeAnyOthers(t *testing.T) {
	t.Parallel()
	owner := openOwner(t, postgrestest.URL(t))
	random := rand.New(rand.NewPCG(1, 1))
	oneOf := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	usual := 0
	for range 500 {
		var list []string
		for range random.IntN(4) {
			list = append(list, `{"ip":`+oneOf(`"10.1.2.3"`, `"fd12::40"`, `"::ffff:10.0.0.1"`, `"fe80::1%eth0"`)+
				oneOf("", `,"mac":"00:15:5d:1a:2b:3c"`)+`,"scope":`+oneOf(`"private"`, `"shared"`)+oneOf("", `,"type":"ethernet"`, `,"type":"größer"`)+
				`,"up":`+oneOf("true", "false")+"}")
		}
		stored := "[" + strings.Join(list, ",") + "]"
		if random.IntN(2) > 0 {
			stored = strings.Replace(stored, oneOf(`,"up":true`, `"scope":`, `"ethernet"`, `"10.1.2.3"`, `"ip"`), oneOf("", `"more":1,"scope":`, `"a\"b\\"`, `""`, `"x"`), 1)
		}
		var text string
		if err := owner.QueryRow("select $1::jsonb::text", stored).Scan(&text); err != nil {
			continue // no JSON
		}
		if readAlike(t, text, postgres.UsualAddresses, postgres.AnyAddresses) {
			usual++
		}
	}
	if usual < 250 {
		t.Errorf("%d of 500 are usual", usual)
	}
}

// TestOddAddressesAreLeftToJSON cuts and changes a usual text in every place.
func TestOddAddressesAreLeftToJSON(t *testing.T) {
	t.Parallel()
	const usual = `[{"ip": "10.1.2.3", "up": true, "mac": "00:15:5d:1a:2b:3c", "type": "ethernet", "scope": "private"}, {"ip": "fd12::40", "up": false, "scope": "private"}]`
	if got, ok := postgres.UsualAddresses(usual); !ok || len(got) != 2 || !got[0].Up || got[0].InterfaceType != "ethernet" || got[1].Scope != "private" {
		t.Fatalf("read as %v, %v", got, ok)
	}
	for _, odd := range spoilt(usual) {
		readAlike(t, odd, postgres.UsualAddresses, postgres.AnyAddresses)
	}
}

// TestUsualCloudsAreReadLikeAnyOthers does the same for the machine in a cloud that an asset is.
func TestUsualCloudsAreReadLikeAnyOthers(t *testing.T) {
	t.Parallel()
	owner := openOwner(t, postgrestest.URL(t))
	random := rand.New(rand.NewPCG(2, 2))
	oneOf := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	usual := 0
	for range 500 {
		stored := `{"provider":"Azure"` + oneOf("", `,"resource_id":"/r/größer"`) + oneOf("", `,"account":"4711"`) + oneOf("", `,"vm_id":"vm"`) + "}"
		if random.IntN(2) > 0 {
			stored = strings.Replace(stored, oneOf(`"provider":`, `"Azure"`, `"4711"`, `,"vm_id":"vm"`, stored), oneOf("", `"more":1,"provider":`, `"a\"b\\"`, `null`, `{}`), 1)
		}
		var text string
		if err := owner.QueryRow("select $1::jsonb::text", stored).Scan(&text); err != nil {
			continue // no JSON
		}
		if readAlike(t, text, postgres.UsualCloud, postgres.AnyCloud) {
			usual++
		}
	}
	if usual < 250 {
		t.Errorf("%d of 500 are usual", usual)
	}
	const whole = `{"vm_id": "v", "account": "a", "provider": "Azure", "resource_id": "/r"}`
	for _, odd := range spoilt(whole) {
		readAlike(t, odd, postgres.UsualCloud, postgres.AnyCloud)
	}
}

// readAlike tells whether a text is read in the usual layout, and fails if anything else comes of it than by reading any JSON.
func readAlike[V any](t *testing.T, text string, usual func(string) (V, bool), whole func(string) (V, error)) bool {
	t.Helper()
	got, ok := usual(text)
	if want, err := whole(text); ok && (err != nil || !reflect.DeepEqual(got, want)) {
		t.Errorf("%s: %v, want %v, %v", text, got, want, err)
	}
	return ok
}

// spoilt are the texts that come of one by cutting it off, taking a character out, and changing or adding one, in every place.
func spoilt(text string) (all []string) {
	for i := range text {
		all = append(all, text[:i], text[:i]+text[i+1:], text[:i]+`\`+text[i+1:], text[:i]+`"`+text[i:])
	}
	return all
}
