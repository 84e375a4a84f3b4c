package defendersim

import (
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"net/http"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

const (
	exportPage    = 50000
	exportPageMax = 200000
)

// serveExport streams SoftwareVulnerabilitiesByMachine. A chain of pages stays on the state its first page had.
func (s *Simulator) serveExport(w http.ResponseWriter, c *apiCall) *apiError {
	if c.params.filter != "" {
		return odataError("The query parameter '$filter' is not supported.")
	}
	size, linked := exportPage, true
	if c.params.pageSize > 0 {
		size = min(c.params.pageSize, exportPageMax)
	}
	if c.params.top >= 0 {
		size, linked = min(c.params.top, exportPageMax), false
	}
	var at world.Cursor
	version := 0
	if c.params.skipToken != "" {
		var ok bool
		if version, at, ok = s.openSkipToken(c.settings.ID, c.params.skipToken); ok {
			c.state, ok = c.dir.snapshot(version)
		}
		if !ok {
			return badRequest("The $skiptoken is not valid or has expired.")
		}
	} else if linked {
		version = c.dir.keep(c.state)
	}
	answer, ok := w.(*compressor)
	if !ok || !linked || s.pages == nil {
		s.writeExport(w, c, at, version, size, linked)
		return nil
	}
	key := pageKey{c.state, version, size, at, c.base, c.path, answer.Header().Get("Content-Encoding")}
	if page, ok := s.pages.get(key); ok {
		apiHeaders(w.Header())
		w.WriteHeader(http.StatusOK)
		answer.replay(page)
		return nil
	}
	finish := answer.record()
	whole := s.writeExport(w, c, at, version, size, linked)
	if page, sent := finish(); whole && sent {
		s.pages.put(key, page)
	}
	return nil
}

// writeExport composes a page and reports whether the client stayed to its end.
func (s *Simulator) writeExport(w http.ResponseWriter, c *apiCall, at world.Cursor, version, size int, linked bool) bool {
	out := s.begin(w, c, "Collection(microsoft.windowsDefenderATP.api.AssetVulnerability)", -1)
	out.flush()
	if out.err != nil {
		return false
	}
	next, more, err := c.state.ExportRows(at, size, func(p []byte) error { _, err := w.Write(p); return err })
	if err != nil {
		return false // the client has gone
	}
	link := ""
	if more && linked {
		link = fmt.Sprintf("%s%s?pagesize=%d&$skiptoken=%s", c.base, c.path, size, s.sealSkipToken(c.settings.ID, version, next))
	}
	out.end(link)
	return out.err == nil
}

// sealSkipToken packs snapshot and place, signed so that an altered token is refused.
func (s *Simulator) sealSkipToken(directoryID string, version int, at world.Cursor) string {
	text := fmt.Sprintf("%d/%d/%d", version, at.Place, at.Offset)
	return base64.RawURLEncoding.EncodeToString(append(s.mac("skiptoken " + directoryID + " " + text)[:12], text...))
}

func (s *Simulator) openSkipToken(directoryID, token string) (version int, at world.Cursor, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < 13 {
		return 0, at, false
	}
	text := string(raw[12:])
	if !hmac.Equal(raw[:12], s.mac("skiptoken " + directoryID + " " + text)[:12]) {
		return 0, at, false
	}
	_, err = fmt.Sscanf(text, "%d/%d/%d", &version, &at.Place, &at.Offset)
	return version, at, err == nil
}
