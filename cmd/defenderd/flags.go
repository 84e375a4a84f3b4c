package main

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
)

// databaseSettings are the settings of commands that only need the database.
var databaseSettings = []string{"DATABASE_URL", "UNSAFE_DATABASE_TLS"}

// keyringSettings are those of commands that need its keyring too.
var keyringSettings = append(slices.Clone(databaseSettings), "KEYRING")

// settingFlags makes the flags of the named settings, or of all without names, and the look-up that finds what was given:
// on the command line, else in the environment. Texts are not judged here, so that all problems can be told at once.
func (p *program) settingFlags(names ...string) ([]cli.Flag, config.Lookup) {
	given := map[string]*text{}
	var flags []cli.Flag
	for _, s := range config.Settings() {
		if len(names) > 0 && !slices.Contains(names, s.Name) {
			continue
		}
		value := &text{bool: s.Bool}
		given[s.FlagEnv()] = value
		flag := &cli.GenericFlag{
			Name: s.Flag(), Usage: s.Help, Value: value, DefaultText: s.Default, HideDefault: s.Default == "",
			Sources: cli.NewValueSourceChain(variable{p, s.FlagEnv()}),
		}
		if s.Secret {
			flag.Usage = "File that holds the setting " + s.Env() + ". " + s.Help
			flag.Sources = cli.NewValueSourceChain(variable{p, s.FlagEnv()}, hint{s.Env()})
		}
		flags = append(flags, flag)
	}
	lookup := func(name string) (string, bool) {
		if t, ok := given[name]; ok && t.set {
			return t.text, true
		}
		return p.env(name)
	}
	return flags, lookup
}

// text is the value of a setting's flag as it was written.
type text struct {
	text string
	set  bool
	bool bool
}

// Set implements flag.Value.
func (t *text) Set(s string) error {
	t.text, t.set = s, true
	return nil
}

// Get implements flag.Getter.
func (t *text) Get() any { return t.text }

// String implements flag.Value.
func (t *text) String() string { return t.text }

// IsBoolFlag says that the flag needs no value.
func (t *text) IsBoolFlag() bool { return t.bool }

// variable is an environment variable of the program as the source of a flag.
type variable struct {
	program *program
	name    string
}

// Lookup implements cli.ValueSource.
func (v variable) Lookup() (string, bool) { return v.program.env(v.name) }

// IsFromEnv makes the help show the name.
func (variable) IsFromEnv() bool { return true }

// Key is the name.
func (v variable) Key() string { return v.name }

// String implements cli.ValueSource.
func (v variable) String() string { return "environment variable " + v.name }

// GoString implements cli.ValueSource.
func (v variable) GoString() string { return fmt.Sprintf("variable(%q)", v.name) }

// hint is a variable that the help shows beside a flag; its value is not the flag's.
type hint struct{ name string }

// Lookup implements cli.ValueSource.
func (hint) Lookup() (string, bool) { return "", false }

// IsFromEnv makes the help show the name.
func (hint) IsFromEnv() bool { return true }

// Key is the name.
func (h hint) Key() string { return h.name }

// String implements cli.ValueSource.
func (h hint) String() string { return h.name }

// GoString implements cli.ValueSource.
func (h hint) GoString() string { return fmt.Sprintf("hint(%q)", h.name) }
