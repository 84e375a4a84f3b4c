package defender

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// Changes implements connector.Source. Microsoft groups changes in batches of six hours and gives the batch around since
// whole; it keeps them for 14 days (page "Export software vulnerabilities assessment per device", delta export). Rows
// without a status it knows are handed over as updated: what they say holds in any case.
func (s *source) Changes(ctx context.Context, since time.Time, yield func([]inventory.Row) error) error {
	first := pathChanges + "?sinceTime=" + url.QueryEscape(since.UTC().Format(time.RFC3339)) + "&pageSize=" + strconv.Itoa(s.conn.cfg.Pages.Rows)
	err := s.report(ctx, EndpointChanges, first, yield)
	var f *failure
	if errors.As(err, &f) && f.page == 1 && (f.status == http.StatusBadRequest || f.status == http.StatusNotFound) {
		return fault.Wrap(errors.Join(connector.ErrSnapshotLost, f.origin), fault.CodeUpstreamUnavailable,
			"Microsoft does not tell the changes since the last reading of the vulnerability report; it has to be read whole.")
	}
	return toldFault(err)
}

func readChange(s *scanner) inventory.RowChange {
	switch strings.ToLower(s.text(maxText)) {
	case "new":
		return inventory.RowNew
	case "fixed":
		return inventory.RowFixed
	}
	return inventory.RowUpdated
}
