package defender_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	defender "pgp.internal/defender"
	"pgp.internal/defender/internal/fault"
)

// ofRuns are the codes that only runs and integrations carry, as errors or warnings.
var ofRuns = []string{
	fault.CodeEntitlementMissing, fault.CodeQuotaExceeded, fault.CodeRemovalHeld, fault.CodeUnreadable, fault.CodeReportPoor, fault.CodeWorkerLost, fault.CodeRunCancelled,
	fault.CodeSecretExpiring,
	fault.CodeLedgerUnbalanced, fault.CodeDatabaseTimeout, fault.CodeDiskFull,
}

// TestContractNamesEveryProblemCode keeps the list of codes in the contract equal to the catalogue.
func TestContractNamesEveryProblemCode(t *testing.T) {
	list := regexp.MustCompile(`(?s)description: Stable name of the problem\.\s+x-extensible-enum: \[(.*?)\]`).FindSubmatch(defender.OpenAPI)
	if list == nil {
		t.Fatal("the contract's list of codes was not found")
	}
	var told []string
	for _, code := range strings.Split(string(list[1]), ",") {
		told = append(told, strings.TrimSpace(code))
	}
	var known []string
	for _, d := range fault.Definitions() {
		if !slices.Contains(ofRuns, d.Code) {
			known = append(known, d.Code)
		}
	}
	slices.Sort(told)
	slices.Sort(known)
	if !slices.Equal(told, known) {
		t.Errorf("the contract lists\n%v\nthe catalogue holds\n%v", told, known)
	}
}

// TestContractNamesTheCodesOfRuns looks for the codes that only runs carry where the contract tells of their errors and warnings.
func TestContractNamesTheCodesOfRuns(t *testing.T) {
	told := regexp.MustCompile("(?s)\n    RunError:\n.*?\n    RunWarning:\n.*?x-extensible-enum: \\[.*?\\]").Find(defender.OpenAPI)
	for _, code := range ofRuns {
		if !regexp.MustCompile(`\b` + code + `\b`).Match(told) {
			t.Errorf("the errors and warnings of runs do not name %s", code)
		}
	}
}

// named is a Go or shell file as the documents name it: from the top of the project, or from a package's own directory.
var named = regexp.MustCompile("`((?:[a-z-]+/)+[a-z_-]+\\.(?:go|sh))`")

// TestDocumentsNameFilesThatExist keeps the paths in README and docs from outliving their files.
func TestDocumentsNameFilesThatExist(t *testing.T) {
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && strings.HasPrefix(path, ".") && path != "." {
			return fs.SkipDir
		}
		files = append(files, "/"+filepath.ToSlash(path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range append(pages, "README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllSubmatch(text, -1) {
			seen++
			if !slices.ContainsFunc(files, func(path string) bool { return strings.HasSuffix(path, "/"+string(name[1])) }) {
				t.Errorf("%s names %s, which does not exist", page, name[1])
			}
		}
	}
	if seen < 5 {
		t.Fatalf("only %d names looked for", seen)
	}
}
