package report

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// Write makes PATH.md and PATH.json.
func (r *Report) Write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	figures, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(path+".md", []byte(r.Markdown()), 0o644),
		os.WriteFile(path+".json", append(figures, '\n'), 0o644),
	)
}
