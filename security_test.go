package defender_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSecurityPagesNameWhatExists holds every test and every target that the pages about security name against the code.
func TestSecurityPagesNameWhatExists(t *testing.T) {
	t.Parallel()
	tests, targets := declaredTests(t), declaredTargets(t)
	proof := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+|make [a-z-]+)")
	for page, least := range map[string]int{"docs/security.md": 80, "docs/threat-model.md": 50, "SECURITY.md": 1} {
		text := readPage(t, page)
		seen := 0
		for _, found := range proof.FindAllStringSubmatch(text, -1) {
			seen++
			target, isTarget := strings.CutPrefix(found[1], "make ")
			if isTarget && !slices.Contains(targets, target) || !isTarget && !tests[found[1]] {
				t.Errorf("%s names %s, which does not exist", page, found[1])
			}
		}
		if seen < least {
			t.Errorf("%s: only %d names looked for", page, seen)
		}
	}
}

// TestPromisesAreNumberedOnce keeps the numbers of the promises: others refer to them.
func TestPromisesAreNumberedOnce(t *testing.T) {
	t.Parallel()
	var numbers []string
	for _, row := range regexp.MustCompile(`(?m)^\| (R[0-9]+) \| (.+)$`).FindAllStringSubmatch(readPage(t, "docs/security.md"), -1) {
		if slices.Contains(numbers, row[1]) {
			t.Errorf("%s stands twice", row[1])
		}
		numbers = append(numbers, row[1])
		if cells := strings.Split(row[2], " | "); len(cells) != 3 || len(cells[0]) < 20 {
			t.Errorf("%s has %d cells", row[1], len(cells))
		}
	}
	if len(numbers) != 39 {
		t.Errorf("%d promises: %v", len(numbers), numbers)
	}
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// declaredTests are the names of all tests and fuzz targets of the module.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	names := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(path, ".") && path != "." {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			for _, found := range declaration.FindAllStringSubmatch(readPage(t, path), -1) {
				names[found[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func declaredTargets(t *testing.T) (names []string) {
	t.Helper()
	for _, found := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(readPage(t, "Makefile"), -1) {
		names = append(names, found[1])
	}
	return names
}
