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
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
)

func (p *program) keyringCommand() *cli.Command {
	return p.group(&cli.Command{
		Name: "keyring", Usage: "make and check the keys that seal the stored client secrets",
		Description: "Whoever loses the keyring loses the stored client secrets: keep a copy apart from the database's backups.\n" +
			"To change the key, add a new one below the old ones in every process, then make it the first, reseal, and drop the old ones.",
	}, p.keyringNew(), p.keyringCheck(), p.keyringReseal())
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
	flags, lookup := p.settingFlags(append([]string{"KEYRING"}, databaseSettings...)...)
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
			return p.withStore(ctx, lookup, func(s *postgres.Store) error {
				inUse, err := s.SealingKeys(ctx)
				if err != nil {
					return err
				}
				if err := p.showKeys(cmd, cfg.Keyring, inUse); err != nil {
					return err
				}
				return fitsStore(ctx, s, cfg.Keyring)
			})
		},
	}
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

func (p *program) showKeys(cmd *cli.Command, ring *seal.Ring, inUse map[string]int) error {
	type keyLine struct {
		ID      string `json:"id"`
		Primary bool   `json:"primary"`
		Secrets *int   `json:"secrets,omitempty"` // sealed with it; not told without a database
	}
	var views []keyLine
	rows := [][]string{{"KEY", "USE", "STORED SECRETS"}}
	for i, id := range ring.IDs() {
		v := keyLine{ID: id, Primary: i == 0}
		use, secrets := "opens", "-"
		if v.Primary {
			use = "seals and opens"
		}
		if inUse != nil {
			n := inUse[id]
			v.Secrets, secrets = &n, strconv.Itoa(n)
		}
		views, rows = append(views, v), append(rows, []string{id, use, secrets})
	}
	return show(p.stdout, cmd, views, rows...)
}

// fitsStore tells whether the keyring opens what is stored: each check value whose key it has, and no key may be missing
// that still seals a secret.
func fitsStore(ctx context.Context, s *postgres.Store, ring *seal.Ring) error {
	return errors.Join(checkKeys(ctx, s, ring), checkNoneMissing(ctx, s, ring))
}

// checkKeys refuses a key that is not the one the database knows by its id.
func checkKeys(ctx context.Context, s *postgres.Store, ring *seal.Ring) error {
	checks, err := s.KeyringChecks(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(checks)) {
		if !slices.Contains(ring.IDs(), id) {
			continue
		}
		if err := ring.VerifyCheck(checks[id]); err != nil {
			problems = append(problems, fmt.Errorf("%sKEYRING: the key %q is not the one that the database knows by this id", config.Prefix, id))
		}
	}
	return errors.Join(problems...)
}

func checkNoneMissing(ctx context.Context, s *postgres.Store, ring *seal.Ring) error {
	inUse, err := s.SealingKeys(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(inUse)) {
		if !slices.Contains(ring.IDs(), id) {
			problems = append(problems, fmt.Errorf("%sKEYRING: the key %q is missing, and %d stored secrets are sealed with it", config.Prefix, id, inUse[id]))
		}
	}
	return errors.Join(problems...)
}

// acceptKeyring refuses a keyring that does not fit, and leaves a check value for each key that is new to the database.
func acceptKeyring(ctx context.Context, s *postgres.Store, ring *seal.Ring) error {
	if err := fitsStore(ctx, s, ring); err != nil {
		return err
	}
	return leaveChecks(ctx, s, ring)
}

func leaveChecks(ctx context.Context, s *postgres.Store, ring *seal.Ring) error {
	for _, box := range ring.CheckValues() {
		if err := s.PutKeyringCheck(ctx, box); err != nil {
			return err
		}
	}
	// Once more, because another process may have come first with another key by the same id.
	return checkKeys(ctx, s, ring)
}
