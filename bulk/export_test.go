package bulk

import (
	"net/http"
)

// ReadPage reads a page of a manifest after others that list so much: files, and bytes of
// their URLs.
func (c *Client) ReadPage(resp *http.Response, files int, urls int64) error {
	_, err := c.readManifest(resp.Request.Context(), "reading", "", resp, amount{files, urls})
	return err
}
