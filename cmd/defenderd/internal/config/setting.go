package config

import "strings"

// Prefix begins every environment name.
const Prefix = "DEFENDERD_"

// Setting is a line of the table.
type Setting struct {
	Name    string // in capitals, without the prefix
	Kind    string // what to write, for people
	Default string // as text; empty when there is none
	Help    string
	Bool    bool // the flag needs no value
	Secret  bool // no flag: it would show in the list of processes; a file can be named instead

	parse func(*Config, string) error // its error says what is wrong and never shows the text
}

func envOf(name string) string { return Prefix + name }

// Env is the name in the environment.
func (s Setting) Env() string { return envOf(s.Name) }

// FileEnv is the name that says in which file a secret is.
func (s Setting) FileEnv() string { return s.Env() + "_FILE" }

// Flag is the name on the command line, without dashes.
func (s Setting) Flag() string {
	flag := strings.ToLower(strings.ReplaceAll(s.Name, "_", "-"))
	if s.Secret {
		return flag + "-file"
	}
	return flag
}

// FlagEnv is the environment name of what the flag sets.
func (s Setting) FlagEnv() string {
	if s.Secret {
		return s.FileEnv()
	}
	return s.Env()
}
