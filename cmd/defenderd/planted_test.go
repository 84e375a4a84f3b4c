package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/seal"
)

// planted are boxes and names of keys that nobody ever had, as whoever has the service's role in the database can write them.
var planted = map[string]string{
	"a secret":            `update integration set secret_box = '\x0103616263' where secret_box is not null`,
	"a staged one":        `update integration set staged_box = '\x0103616263', staged_at = now()`,
	"no box":              `update integration set secret_box = '\x07' where secret_box is not null`,
	"an API key":          `update api_key set box = '\x0103616263'`,
	"a data key":          `update tenant_key set kek = 'keyring:abc'`,
	"that of a service":   `update tenant_key set kek = 'hashivault://transit/abc#v1'`,
	"a name not in UTF-8": `update api_key set box = '\x0102fffe'`,

	// The names of keys that are in use or were, where keys of the other kind are named.
	"a data key by a bare id":        `update tenant_key set kek = (select min(key_id) from keyring_check where key_id not like '%://%')`,
	"one with a version":             `update tenant_key set kek = (select min(key_id) from keyring_check where key_id not like '%://%') || '#9'`,
	"a service in a keyring":         `update tenant_key set kek = 'keyring:' || (select key_id from keyring_check where key_id like '%://%')`,
	"a service that sealed a secret": `update integration set secret_box = (select '\x01'::bytea || set_byte('\x00', 0, length(key_id)) || convert_to(key_id, 'UTF8') from keyring_check where key_id like '%://%')`,
	"a service that sealed API keys": `update api_key set box = (select '\x01'::bytea || set_byte('\x00', 0, length(key_id)) || convert_to(key_id, 'UTF8') from keyring_check where key_id like '%://%')`,
}

// TestAPlantedBoxStopsNoStart starts the service on each, which names it; "keyring check" does too, and ends with status 1.
func TestAPlantedBoxStopsNoStart(t *testing.T) {
	t.Parallel()
	line := seal.NewKey().Reveal()
	environ, integration := connected(t, line)
	keyed := append(environ[:len(environ):len(environ)], "DEFENDERD_KEYRING="+line)
	owner := onlyTenant(t, environ)
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	db := ownerOf(t, url)
	execute(t, db, `insert into keyring_check (key_id, box) values ('hashivault://pgp?address=https://vault.example', '\x00')`)
	execute(t, db, `create table before_api_key as table api_key; create table before_integration as table integration; create table before_tenant_key as table tenant_key`)
	for name, statement := range planted {
		execute(t, db, "begin; set local role defender_app; set local app.system = 'on'; "+statement+"; commit")
		_, err := invoke(t, keyed, "keyring", "check")
		s := start(t, keyed, "--roles", "http")
		if log := s.log.String(); !strings.Contains(log, "never in use") || !strings.Contains(log, owner) {
			t.Errorf("%s: the start does not name it: %s", name, log)
		} else if strings.Contains(statement, "integration") && !strings.Contains(log, integration) {
			t.Errorf("%s: the start does not name the integration: %s", name, log)
		}
		if exitOf(err) != exitFailure || err == nil || !strings.Contains(err.Error(), owner) {
			t.Errorf("%s: keyring check ends with %v", name, err)
		}
		if err := s.stop(t); err != nil {
			t.Fatal(err)
		}
		execute(t, db, `update api_key k set box = b.box from before_api_key b where b.public_id = k.public_id;
			update integration i set secret_box = b.secret_box, staged_box = null, staged_at = null from before_integration b where b.id = i.id;
			update tenant_key k set kek = b.kek from before_tenant_key b where b.tenant_id = k.tenant_id`)
	}
	must(t, keyed, "keyring", "check")
}

// TestAKeyThatWasInUseIsMissedBesideAPlantedBox takes a key away that the database knows, and then has everything that it made gone but
// one kind: a secret, an API key, a data key.
func TestAKeyThatWasInUseIsMissedBesideAPlantedBox(t *testing.T) {
	t.Parallel()
	older, newer := seal.NewKey().Reveal(), seal.NewKey().Reveal()
	environ, _ := connected(t, older)
	with := func(line string) []string { return append(slices.Clone(environ), "DEFENDERD_KEYRING="+line) }
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	db := ownerOf(t, url)
	execute(t, db, `update integration set staged_box = '\x0103616263', staged_at = now()`)
	for _, left := range []string{
		`select 1`,
		`update tenant_key set kek = 'keyring:abc'`,
		`update tenant_key set kek = 'keyring:` + idOf(older) + `'; update api_key set box = '\x0103616263'`,
		fmt.Sprintf(`update tenant_key set kek = 'keyring:abc'; update integration set secret_box = '\x01%02x%x'`, len(idOf(older)), idOf(older)),
	} {
		execute(t, db, left)
		_, err := invoke(t, with(newer), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
		if err == nil || !strings.Contains(err.Error(), "missing") || !strings.Contains(err.Error(), idOf(older)) {
			t.Errorf("%s: %v", left, err)
		}
	}
}

// TestADamagedDataKeyIsNamed ruins what the key in use wrapped: checking and resealing tell whose it is, and the start does not ask.
func TestADamagedDataKeyIsNamed(t *testing.T) {
	t.Parallel()
	line := seal.NewKey().Reveal()
	environ, _ := connected(t, line)
	keyed := append(environ[:len(environ):len(environ)], "DEFENDERD_KEYRING="+line)
	owner := onlyTenant(t, environ)
	must(t, keyed, "keyring", "check")
	url, _ := (&program{environ: environ}).env("DEFENDERD_DATABASE_URL")
	execute(t, ownerOf(t, url), `update tenant_key set wrapped = '\x00'`)
	for _, command := range []string{"check", "reseal"} {
		_, err := invoke(t, keyed, "keyring", command)
		if exitOf(err) != exitFailure || err == nil || !strings.Contains(err.Error(), "1 data keys open with no key there is") || !strings.Contains(err.Error(), owner) {
			t.Errorf("keyring %s ends with %v", command, err)
		}
	}
	if err := start(t, keyed, "--roles", "http").stop(t); err != nil {
		t.Error(err)
	}
}

func TestTablesQuoteWhatTerminalsWouldObey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Contoso, Łódź \"West\"": "Contoso, Łódź \"West\"", "": "", "\x1b[2J": `"\x1b[2J"`, "a\tb": `"a\tb"`, "a\n": `"a\n"`, "\u202exe": `"\u202exe"`, "\xff\xfe": `"\xff\xfe"`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q is shown as %s", text, got)
		}
	}
}
