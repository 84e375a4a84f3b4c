package main

import (
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"pgp.internal/defender/cmd/defenderd/internal/config"
)

func TestHelpOfEachCommand(t *testing.T) {
	t.Parallel()
	var visit func(path []string, c *cli.Command)
	visit = func(path []string, c *cli.Command) {
		name := strings.Join(path, " ")
		out := must(t, nil, append(path, "--help")...)
		if !strings.Contains(out, "USAGE:") || c.Usage == "" {
			t.Errorf("%s: the help is empty", name)
		}
		leaf := len(c.Commands) == 0
		if leaf && c.Name != "help" && !strings.Contains(out, "Example") {
			t.Errorf("%s: no example", name)
		}
		if leaf && (strings.HasPrefix(name, "tenant") || strings.HasPrefix(name, "api-key") || strings.HasPrefix(name, "migrate")) && !strings.Contains(out, "DEFENDERD_DATABASE_URL") {
			t.Errorf("%s: the help does not name DEFENDERD_DATABASE_URL", name)
		}
		if got := must(t, nil, append([]string{"help"}, path...)...); got != out {
			t.Errorf("\"help %s\" is not \"%s --help\"", name, name)
		}
		for _, child := range c.Commands {
			visit(append(path[:len(path):len(path)], child.Name), child)
		}
	}
	visit(nil, (&program{}).root())
}

func TestHelpOfServeNamesEverySetting(t *testing.T) {
	t.Parallel()
	out := must(t, nil, "serve", "--help")
	for _, s := range config.Settings() {
		if !strings.Contains(out, "--"+s.Flag()) || !strings.Contains(out, "$"+s.Env()) {
			t.Errorf("the help of serve lacks --%s or $%s", s.Flag(), s.Env())
		}
	}
}

func TestDocsAreTheTable(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if got := must(t, nil, "help", "config", "--markdown"); got != string(want) {
		t.Error("docs/configuration.md is out of date: go run ./cmd/defenderd help config --markdown > docs/configuration.md")
	}
	if out := must(t, nil, "help", "config"); !strings.Contains(out, "DEFENDERD_KEYRING or DEFENDERD_KEYRING_FILE") {
		t.Error(out)
	}
}

// TestEveryBuildTellsItsRevision compares the three places that build the program.
func TestEveryBuildTellsItsRevision(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Makefile": "-X main.version=$(VERSION) -X main.revision=$(REVISION)\n", "Dockerfile": "-X main.version=${VERSION} -X main.revision=${REVISION}\"",
		"scripts/image.sh": "-X main.version=$version -X main.revision=$revision\"",
	} {
		text, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not set the revision by %s", name, want)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if out := must(t, nil, "version"); !strings.Contains(out, version) {
		t.Error(out)
	}
}
