package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/cmd/defenderbench/internal/report"
)

// maxEnd is how long the last line of an export may be.
const maxEnd = 64

// joined gives what the export gives, a line for each piece of software of a finding.
const joined = `
	select f.asset_id, f.vulnerability_id, f.severity, f.severity_source, f.attack_vector, f.state, f.reopen_count, f.state_reason, f.first_seen_at,
	       coalesce(a.findings_seen_at, a.last_seen_at), f.closed_at, f.reopened_at, f.created_at, f.updated_at,
	       a.public_id, i.public_id, a.hostname, a.primary_ip, v.name, v.title, v.partial,
	       s.vendor, s.product, s.version, l.disk_paths, l.registry_paths, r.update_text, r.update_id, r.update_url, r.update_ready
	from finding f
	join asset a on a.tenant_id = f.tenant_id and a.id = f.asset_id
	join integration i on i.tenant_id = f.tenant_id and i.id = a.integration_id
	join vulnerability v on v.id = f.vulnerability_id
	cross join unnest(f.software_ids) u (id)
	join software s on s.id = u.id
	left join installation n on n.tenant_id = f.tenant_id and n.asset_id = f.asset_id
	left join location l on l.tenant_id = f.tenant_id and l.id = n.location_ids[array_position(n.software_ids, u.id)]
	left join remediation r on r.tenant_id = f.tenant_id and r.software_id = u.id and r.vulnerability_id = f.vulnerability_id
	where f.tenant_id = %d and f.state = 1`

// export reads all open findings in one answer, and lets psql do the same.
func (z *sizeRun) export(ctx context.Context) error {
	programs, err := findPrograms(ctx, z.db.db)
	if err != nil {
		return err
	}
	profile, err := z.profile(ctx, "export")
	if err != nil {
		return err
	}
	m := z.meter()
	if err := m.start(ctx); err != nil {
		return err
	}
	e := &report.Export{}
	began := time.Now()
	if e.Findings, e.Bytes, err = z.customer.streamFindings(ctx, z.service); err != nil {
		return err
	}
	e.Seconds = time.Since(began).Seconds()
	if e.CPU, e.PeakBytes, _, err = m.stop(ctx); err != nil {
		return err
	}
	if _, err := profile.end(ctx); err != nil {
		return err
	}
	if e.Findings != z.result.Findings {
		return fmt.Errorf("%d findings were exported, %d are stored", e.Findings, z.result.Findings)
	}
	rows, took, err := z.db.copied(ctx, programs, fmt.Sprintf(`\copy (`+joined+`) to stdout`, z.customer.number))
	if err != nil {
		return err
	}
	e.LimitRows, e.LimitSeconds = rows, took.Seconds()
	z.result.Export = e
	z.say("export: %.2f s, %s findings/s, peak %d MiB; limit %.2f s", e.Seconds, report.Count(int64(float64(e.Findings)/e.Seconds)), e.PeakBytes>>20, e.LimitSeconds)
	return nil
}

// streamFindings counts the findings and bytes of the answer and looks at nothing else but its end.
func (c *customer) streamFindings(ctx context.Context, s *service) (items, size int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/findings?state=open", nil)
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Accept", "application/x-ndjson")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if resp.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("the export was answered with %s", resp.Status)
	}
	return countLines(resp.Body)
}

// countLines counts the items up to the line that says that they are all, and the bytes of everything.
func countLines(body io.Reader) (items, size int64, err error) {
	var tail []byte // enough of what came last for that line
	buffer := make([]byte, 256<<10)
	for {
		n, err := body.Read(buffer)
		items += int64(bytes.Count(buffer[:n], []byte("\n")))
		size += int64(n)
		tail = append(tail, buffer[max(0, n-maxEnd):n]...)
		tail = tail[max(0, len(tail)-maxEnd):]
		switch {
		case errors.Is(err, io.EOF):
			items--
			end, err := json.Marshal(api.ListEnd{End: true, Count: items})
			if err == nil && !bytes.HasSuffix(tail, append(end, '\n')) {
				err = fmt.Errorf("the export broke off after %d lines", items+1)
			}
			return items, size, err
		case err != nil:
			return 0, 0, err
		}
	}
}
