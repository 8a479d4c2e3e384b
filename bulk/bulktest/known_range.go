package bulktest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// ranged lets answer respond with the uncompressed file, which it holds in memory, so that
// Range requests work. etag makes the ETag from the file's SHA-256; "" sends none.
func ranged(etag func(sum string) string, answer func(w http.ResponseWriter, r *http.Request, content []byte)) Behavior {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		whole := r.Clone(r.Context())
		whole.Header.Del("Accept-Encoding")
		a := held(next, whole)
		if a.status != http.StatusOK {
			a.send(w)
			return
		}
		maps.Copy(w.Header(), a.header)
		sum := sha256.Sum256(a.body.Bytes())
		if tag := etag(hex.EncodeToString(sum[:])); tag != "" {
			w.Header().Set("ETag", tag)
		}
		answer(w, r, a.body.Bytes())
	}
}

func honestRange(w http.ResponseWriter, r *http.Request, content []byte) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// dpcRange ends every range after some bytes, and says that the file ends there. DPC does so
// after 1 MiB; here it is less, so that small files show it.
func dpcRange(w http.ResponseWriter, r *http.Request, content []byte) {
	const maxRange = 512
	var from int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err != nil || from >= len(content) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content)
		return
	}
	end := min(from+maxRange, len(content))
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, end-from))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(content[from:end])
}

// rangeFaults returns faults in which files are cut at first and can, or cannot, be resumed.
func rangeFaults() []KnownFault {
	quoted := func(sum string) string { return `"` + sum[:16] + `"` }
	cut := func(name, does, seen string, file Behavior) KnownFault {
		return known(name, does, seen,
			play{on: FileEndpoint, first: 1, do: Chain(CutBody(cutAt), file)}, play{on: FileEndpoint, do: file})
	}
	return []KnownFault{
		cut("file-range", "each file is cut off at first, and Range works", anyServer, ranged(quoted, honestRange)),
		cut("file-dpc-range", "each file is cut off at first, and ranges end early and report their own length as the file's", "DPC, after 1 MiB", ranged(quoted, dpcRange)),
		cut("file-range-416", "each file is cut off at first, and Range answers 416", anyServer, ranged(quoted, func(w http.ResponseWriter, r *http.Request, content []byte) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			honestRange(w, r, content)
		})),
		cut("file-range-other-part", "each file is cut off at first, and Range returns a different part than requested", anyServer, ranged(quoted, func(w http.ResponseWriter, r *http.Request, content []byte) {
			if r.Header.Get("Range") != "" {
				r.Header.Set("Range", "bytes=3-")
				r.Header.Del("If-Range")
			}
			honestRange(w, r, content)
		})),
		cut("file-etag-weak", "each file is cut off at first, and has a weak ETag", anyServer, ranged(func(sum string) string { return "W/" + quoted(sum) }, honestRange)),
		cut("file-etag-unquoted", "each file is cut off at first, and has an ETag without quotes and a Last-Modified in milliseconds", "DPC",
			Chain(editHeader("Last-Modified", "1767225600000"), ranged(func(sum string) string { return sum }, honestRange))),
		cut("file-etag-none", "each file is cut off at first, and has no ETag", anyServer, ranged(func(string) string { return "" }, honestRange)),
	}
}
