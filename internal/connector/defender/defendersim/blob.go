package defendersim

import (
	"compress/gzip"
	"crypto/hmac"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

var fileForm = regexp.MustCompile(`^/blob/\d{4}-\d\d-\d\d/\d{4}/VaExport/json/OrgId=([0-9a-f-]{36})/part-(\d{5})-7c2e5f10-4b1d-4d7e-([0-9a-f]{4})-([0-9a-f]{12})\.c000\.json\.gz$`)

// blobDirectory is the directory that a file belongs to, by its path; "" when it is no path of a file.
func blobDirectory(path string) string {
	if m := fileForm.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return ""
}

// serveBlob answers as Azure Blob Storage does for a file of an export: whoever has the address may read it, until the
// signature in it has run out. The file is composed while it is sent.
func (s *Simulator) serveBlob(w http.ResponseWriter, r *http.Request) {
	q, now := r.URL.Query(), s.now().UTC()
	w.Header().Set("x-ms-version", "2022-11-02")
	from, fromErr := time.Parse(sasTime, q.Get("st"))
	until, untilErr := time.Parse(sasTime, q.Get("se"))
	if fromErr != nil || untilErr != nil || !hmac.Equal([]byte(q.Get("sig")), []byte(s.signature(r.URL.Path, q))) {
		refuseBlob(w, http.StatusForbidden, "AuthenticationFailed", "Signature did not match.", now)
		return
	}
	if now.Before(from) || !now.Before(until) {
		refuseBlob(w, http.StatusForbidden, "AuthenticationFailed", fmt.Sprintf("Signature not valid in the specified key time frame: Start [%s] - Expiry [%s] - Current [%s]",
			from.Format(time.RFC1123), until.Format(time.RFC1123), now.Format(time.RFC1123)), now)
		return
	}
	if r.Method != http.MethodGet {
		refuseBlob(w, http.StatusMethodNotAllowed, "UnsupportedHttpVerb", "", now)
		return
	}
	s.sendBlob(w, r, now)
}

func (s *Simulator) sendBlob(w http.ResponseWriter, r *http.Request, now time.Time) {
	m := fileForm.FindStringSubmatch(r.URL.Path)
	part, parts, number := blobNumbers(m)
	d, ok := s.directory(m[1])
	if !ok {
		refuseBlob(w, http.StatusNotFound, "BlobNotFound", "", now)
		return
	}
	state, ok := d.kept(number, s.now())
	if !ok {
		refuseBlob(w, http.StatusNotFound, "BlobNotFound", "", now)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("x-ms-blob-type", "BlockBlob")
	h.Set("x-ms-copy-status", "success")
	key := pageKey{state: state, version: part, size: parts, path: r.URL.Path}
	if file, ok := s.pages.get(key); ok {
		_, _ = w.Write(file) // an error means that the client has gone
		return
	}
	if s.pages == nil {
		_ = s.composeFile(w, state, part, parts)
		return
	}
	sent := &recorded{ResponseWriter: w}
	if s.composeFile(sent, state, part, parts) == nil && sent.err == nil {
		s.pages.put(key, sent.kept.Bytes())
	}
}

// composeFile writes a part of the rows, compressed. An error means that the client has gone.
func (s *Simulator) composeFile(w io.Writer, state *world.State, part, parts int) error {
	zip := gzips.Get().(*gzip.Writer)
	defer gzips.Put(zip)
	zip.Reset(w)
	err := state.FileRows(part, parts, func(b []byte) error { _, err := zip.Write(b); return err })
	if err == nil {
		err = zip.Close()
	}
	return err
}

// blobNumbers reads the numbers of a path whose signature is good, so that they are those that were written.
func blobNumbers(m []string) (part, parts, number int) {
	part, _ = strconv.Atoi(m[2])
	for _, n := range []struct {
		text string
		into *int
	}{{m[3], &parts}, {m[4], &number}} {
		v, _ := strconv.ParseInt(n.text, 16, 64)
		*n.into = int(v)
	}
	return part, parts, number
}

// blobError is the error body of Azure Blob Storage, see "Status and error codes" of its REST API.
type blobError struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
	Detail  string `xml:"AuthenticationErrorDetail,omitempty"`
}

var blobMessages = map[string]string{
	"AuthenticationFailed": "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.",
	"BlobNotFound":         "The specified blob does not exist.",
	"UnsupportedHttpVerb":  "The resource doesn't support specified Http Verb.",
	"ServerBusy":           "The server is busy.",
	"InternalError":        "The server encountered an internal error. Please retry the request.",
}

// usualBlobCodes are the error codes that usually come with a status.
var usualBlobCodes = map[int]string{403: "AuthenticationFailed", 404: "BlobNotFound", 500: "InternalError", 503: "ServerBusy"}

func refuseBlob(w http.ResponseWriter, status int, code, detail string, now time.Time) {
	message := fmt.Sprintf("%s\nRequestId:%s\nTime:%s", blobMessages[code], w.Header().Get("x-ms-request-id"), now.Format("2006-01-02T15:04:05.0000000Z"))
	h := w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("x-ms-error-code", code)
	body, _ := xml.Marshal(blobError{Code: code, Message: message, Detail: detail}) // texts always encode
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), body...)) // a failed write means the client has gone
}
