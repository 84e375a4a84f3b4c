package config

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Markdown writes the table for docs.
func Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Configuration\n\n" +
		"Written by `defenderd help config --markdown`; a test keeps it up to date.\n\n" +
		"Each setting is an environment variable. Those that are no secrets can be given as flags of `defenderd serve` instead, and a\n" +
		"flag wins. Secrets are read from the variable, or from the file that the variable with `_FILE` at its end names, never from\n" +
		"the command line. A file that every account of the machine can read is used, with a warning at the start. Variables that begin\n" +
		"with `DEFENDERD_` and are not in this table are refused. `defenderd serve --check` tells all problems at once and starts\n" +
		"nothing; `defenderd serve --print-config` shows what is in force, secrets masked.\n\n" +
		"| Variable | Flag | Value | Default | Meaning |\n|---|---|---|---|---|\n")
	for _, s := range Settings() {
		name := "`" + s.Env() + "`"
		if s.Secret {
			name += " or `" + s.FileEnv() + "`"
		}
		fmt.Fprintf(&b, "| %s | `--%s` | %s | %s | %s |\n", name, s.Flag(), s.Kind, code(s.Default), s.Help)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// Text writes the table for a terminal.
func Text(w io.Writer) error {
	for _, s := range Settings() {
		name := s.Env()
		if s.Secret {
			name += " or " + s.FileEnv()
		}
		standard := ""
		if s.Default != "" {
			standard = ", default " + s.Default
		}
		if _, err := fmt.Fprintf(w, "%s\n    %s%s\n    %s\n", name, s.Kind, standard, s.Help); err != nil {
			return err
		}
	}
	return nil
}

// Print writes what is in force: the given text or the default of each setting, secrets masked.
func Print(w io.Writer, lookup Lookup) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range Settings() {
		text, given := lookup(s.Env())
		if given = given && text != ""; given && s.Secret {
			text = "(set)"
		}
		if file, ok := lookup(s.FileEnv()); s.Secret && ok && file != "" {
			text, given = "(from the file "+file+")", true
		}
		if !given {
			text = strings.TrimSpace(s.Default + "  (default)")
			if s.Default == "" {
				text = "(not set)"
			}
		}
		fmt.Fprintf(t, "%s\t%s\n", s.Env(), text)
	}
	return t.Flush()
}
