package bulk

import (
	"net/http"
)

// LimitPage makes the client read fewer bytes of a page of a manifest, and returns its limit
// before. The error still names that one.
func (c *Client) LimitPage(bytes int64) (before int64) {
	before, c.pageBytes = c.pageBytes, bytes
	return before
}

// ReadPage reads a page of a manifest after others that list this many files and bytes of
// URLs.
func (c *Client) ReadPage(resp *http.Response, files int, urls int64) error {
	_, err := c.readManifest(resp.Request.Context(), "reading", "", resp, amount{files, urls})
	return err
}
