package bulk

import (
	"net/http"
)

// ReadPage reads a page of a manifest after others that list this many files and bytes of
// URLs.
func (c *Client) ReadPage(resp *http.Response, files int, urls int64) error {
	_, err := c.readManifest(resp.Request.Context(), "reading", "", resp, amount{files, urls})
	return err
}
