package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
	"pgp.internal/defender/internal/envelope"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
)

func (p *program) keyringCommand() *cli.Command {
	return p.group(&cli.Command{
		Name: "keyring", Usage: "make and check the keys that seal the stored client secrets",
		Description: "Whoever loses the keyring loses the stored client secrets: keep a copy apart from the database's backups.\n" +
			"To change the key, add a new one below the old ones in every process, then make it the first, reseal, and drop the old ones.\n" +
			"With the setting DEFENDERD_KEK a key service takes its place for them.",
	}, p.keyringNew(), p.keyringCheck(), p.keyringReseal(), p.keyringShred())
}

func (p *program) keyringNew() *cli.Command {
	return &cli.Command{
		Name: "new", Usage: "make a key",
		Description: "Prints the line, or writes it to a new file that only its owner can read.\n\n" +
			"Examples:\n\n    defenderd keyring new --out keyring\n    defenderd keyring new --id 2027-01",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "id", Usage: "name of the key, 1 to 24 of a-z, 0-9, dot, dash, underscore; the day and a random part if not given"},
			&cli.StringFlag{Name: "out", Usage: "file to write; it must not exist"},
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			line := seal.NewKey().Reveal()
			if id := cmd.String("id"); id != "" {
				_, key, _ := strings.Cut(line, ":")
				if line = id + ":" + key; !valid(line) {
					return usagef("--id must be 1 to 24 of a-z, 0-9, dot, dash, underscore, and begin with a letter or digit")
				}
			}
			name := cmd.String("out")
			if name == "" {
				_, err := fmt.Fprintln(p.stdout, line)
				return err
			}
			if err := writeSecret(name, line); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "Wrote %s.\n", name)
			return nil
		},
	}
}

func valid(line string) bool {
	_, err := seal.ParseRing(line)
	return err == nil
}

// writeSecret makes a file that only its owner can read. It never replaces one.
func writeSecret(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

func (p *program) keyringCheck() *cli.Command {
	flags, lookup := p.settingFlags(append(slices.Clone(keySettings), databaseSettings...)...)
	return &cli.Command{
		Name: "check", Usage: "check a keyring, and with a database that it fits what is stored there",
		Description: "The keyring comes from --file or the setting DEFENDERD_KEYRING. Without DEFENDERD_DATABASE_URL only its form is checked.\n\n" +
			"Example:\n\n    defenderd keyring check --file keyring",
		Flags: append([]cli.Flag{&cli.StringFlag{Name: "file", Usage: "file with the keyring"}, outputFlag()}, flags...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			cfg, err := config.Read(overrideKeyring(lookup, cmd.String("file")), p.environ, "KEYRING")
			if err != nil {
				return err
			}
			p.warn(cfg)
			if cfg.DatabaseURL.IsZero() {
				return p.showKeys(cmd, cfg.Keyring, nil)
			}
			keys, err := keysOf(ctx, cfg, nil)
			if err != nil {
				return err
			}
			return p.withAnyKeyring(ctx, lookup, func(s *postgres.Store, _ *seal.Ring) error {
				strays, err := fitsStore(ctx, s, cfg.Keyring, keys)
				return errors.Join(p.showStored(ctx, cmd, s, cfg.Keyring), err, strange(strays), checkDataKeys(ctx, s, keys))
			})
		},
	}
}

// checkDataKeys unwraps all data keys, if the key services can be asked and are the right ones.
func checkDataKeys(ctx context.Context, s *postgres.Store, keys *envelope.Keys) error {
	if err := checkKEKs(ctx, s, keys); err != nil {
		return err
	}
	tenants, err := keys.Unreadable(ctx, s, resealBatch)
	return errors.Join(err, unreadableDataKeys(ctx, s, tenants))
}

// overrideKeyring makes --file win over the setting.
func overrideKeyring(lookup config.Lookup, file string) config.Lookup {
	if file == "" {
		return lookup
	}
	return func(name string) (string, bool) {
		switch name {
		case config.Prefix + "KEYRING":
			return "", false
		case config.Prefix + "KEYRING_FILE":
			return file, true
		}
		return lookup(name)
	}
}

// showStored shows the keys with what each has sealed or wrapped.
func (p *program) showStored(ctx context.Context, cmd *cli.Command, s *postgres.Store, ring *seal.Ring) error {
	secrets, err := s.SealingKeys(ctx)
	if err != nil {
		return err
	}
	dataKeys, err := s.DataKeysByKEK(ctx)
	if err != nil {
		return err
	}
	apiKeys, err := s.APIKeysBySeal(ctx)
	if err != nil {
		return err
	}
	return p.showKeys(cmd, ring, &sealedCounts{dataKeys, secrets, apiKeys})
}

// sealedCounts tell what each key wraps and seals, by its name or id.
type sealedCounts struct{ dataKeys, secrets, apiKeys map[string]int }

// keyLine is a key as it is shown; what it wraps and seals is not told without a database.
type keyLine struct {
	ID       string `json:"id"`
	Primary  bool   `json:"primary"`
	DataKeys *int   `json:"data_keys,omitempty"` // wrapped by it
	APIKeys  *int   `json:"api_keys,omitempty"`  // sealed with it
	Secrets  *int   `json:"secrets,omitempty"`   // sealed with it alone, as before there were data keys
}

// showKeys shows the keys of the keyring and, where the database is known, whatever else wraps or seals there.
func (p *program) showKeys(cmd *cli.Command, ring *seal.Ring, counts *sealedCounts) error {
	var views []keyLine
	rows := [][]string{{"KEY", "USE", "DATA KEYS", "API KEYS", "OLDER SECRETS"}}
	add := func(id, use string, primary bool, name string) {
		v, row := keyLine{ID: id, Primary: primary}, []string{id, use, "-", "-", "-"}
		if counts != nil {
			wrapped, apiKeys, sealed := counts.dataKeys[name], counts.apiKeys[id], counts.secrets[id]
			v.DataKeys, v.APIKeys, v.Secrets = &wrapped, &apiKeys, &sealed
			row = []string{id, use, strconv.Itoa(wrapped), strconv.Itoa(apiKeys), strconv.Itoa(sealed)}
		}
		views, rows = append(views, v), append(rows, row)
	}
	for i, id := range ring.IDs() {
		use := "opens"
		if i == 0 {
			use = "seals and opens"
		}
		add(id, use, i == 0, envelope.KeyringPrefix+id)
	}
	if counts != nil {
		for _, name := range slices.Sorted(maps.Keys(counts.dataKeys)) {
			if _, ours := strings.CutPrefix(name, envelope.KeyringPrefix); !ours {
				add(name, "key service", false, name)
			}
		}
		for _, id := range counts.missing(ring) {
			use := "missing"
			if id == "" {
				use = "none: what is stored cannot be read"
			}
			add(id, use, false, envelope.KeyringPrefix+id)
		}
	}
	return show(p.stdout, cmd, views, rows...)
}

// missing are the ids of keys that wrap or seal something and are not in the keyring.
func (c *sealedCounts) missing(ring *seal.Ring) []string {
	ids := map[string]bool{}
	for name := range c.dataKeys {
		if id, ours := strings.CutPrefix(name, envelope.KeyringPrefix); ours {
			ids[id] = true
		}
	}
	for _, others := range []map[string]int{c.apiKeys, c.secrets} {
		for id := range others {
			ids[id] = true
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(ids)), func(id string) bool { return slices.Contains(ring.IDs(), id) })
}
