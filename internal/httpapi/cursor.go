package httpapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// cursorLife is how long a cursor can be used at least. It ends on a full hour, so that until then a page that is read
// again has the same cursor, and with it the same tag.
const (
	cursorLife  = 24 * time.Hour
	cursorGrain = time.Hour
)

// maxCursor bounds what is decoded at all.
const maxCursor = 2048

// cursors turns positions into texts that only the same tenant can use, only for the same query, and only for a while.
//
// A cursor is base64url(HMAC-SHA256 ‖ expiry ‖ position). Tenant, path, filters and sort are covered by the HMAC without
// being part of the text, so that nothing about them can be read from or changed in a cursor.
type cursors struct {
	key []byte
	now func() time.Time
}

// write makes the cursor of the next page; it is empty when there is none.
func (c cursors) write(r *http.Request, t tenant.ID, p inventory.Position) (string, error) {
	if p == nil {
		return "", nil
	}
	position, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	expiry := c.now().Add(cursorLife + cursorGrain).Truncate(cursorGrain)
	body := binary.BigEndian.AppendUint64(nil, uint64(expiry.Unix())) //nolint:gosec // after 1970
	body = append(body, position...)
	return base64.RawURLEncoding.EncodeToString(append(c.sign(r, t, body), body...)), nil
}

// read gives the position of a cursor; nil for no cursor.
func (c cursors) read(r *http.Request, t tenant.ID) (inventory.Position, error) {
	texts, ok := r.URL.Query()["cursor"]
	if !ok {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(texts[0])
	if len(texts) != 1 || len(texts[0]) > maxCursor || err != nil || len(raw) < sha256.Size+8 {
		return nil, fault.New(fault.CodeInvalidCursor, "")
	}
	mac, body := raw[:sha256.Size], raw[sha256.Size:]
	if !hmac.Equal(mac, c.sign(r, t, body)) {
		return nil, fault.New(fault.CodeInvalidCursor, "")
	}
	if expiry := int64(binary.BigEndian.Uint64(body)); c.now().Unix() >= expiry { //nolint:gosec // signed by us
		return nil, fault.New(fault.CodeInvalidCursor, "the cursor is older than 24 hours")
	}
	var p inventory.Position
	if err := json.Unmarshal(body[8:], &p); err != nil {
		return nil, fault.Wrap(err, fault.CodeInvalidCursor, "")
	}
	return p, nil
}

func (c cursors) sign(r *http.Request, t tenant.ID, body []byte) []byte {
	h := hmac.New(sha256.New, c.key)
	scope := sha256.Sum256([]byte(r.URL.Path + "?" + canonicalQuery(r.URL.Query())))
	h.Write(scope[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(t))) //nolint:gosec // only has to be the same each time
	h.Write(body)
	return h.Sum(nil)
}

// canonicalQuery is the query without what may differ between pages, in one order.
func canonicalQuery(values url.Values) string {
	values.Del("cursor")
	values.Del("limit")
	for _, v := range values {
		slices.Sort(v)
	}
	return values.Encode()
}

// paging reads limit and cursor. It is asked last, so that faulty filters are told before a faulty cursor.
func (s *server) paging(r *http.Request, p *params, sort inventory.Sort) (inventory.PageRequest, error) {
	limit := p.limit()
	if err := p.err(); err != nil {
		return inventory.PageRequest{}, err
	}
	after, err := s.cursors.read(r, caller(r))
	return inventory.PageRequest{Limit: limit, After: after, Sort: sort}, err
}

// answerPage writes one page of a list under a tag of its own: lists are often read again unchanged.
func answerPage[D, W any](s *server, w http.ResponseWriter, r *http.Request, items []D, end inventory.Position, convert func(*D) W) error {
	next, err := s.cursors.write(r, caller(r), end)
	if err != nil {
		return err
	}
	return answerTagged(w, r, page(items, next, convert))
}

// answerList answers a list in its one order: whole as lines to those who ask for that, else a page of it.
func answerList[D, W any](s *server, w http.ResponseWriter, r *http.Request, p *params,
	list func(context.Context, inventory.PageRequest) ([]D, inventory.Position, error), convert func(*D) W,
) error {
	if wantsLines(r) {
		return s.answerLines(w, r, p, func(ctx context.Context, l *lines) error {
			return eachPage(ctx, "", list, func(page []D) error { return addAll(l, page, convert) })
		})
	}
	request, err := s.paging(r, p, inventory.Sort{})
	if err != nil {
		return err
	}
	found, end, err := list(r.Context(), request)
	if err != nil {
		return err
	}
	return answerPage(s, w, r, found, end, convert)
}
