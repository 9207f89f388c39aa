// The hub of the Gorilla chat tutorial, by its design: one hub goroutine, a read and a write pump a client, a send
// channel of 256, and queued messages joined in one WebSocket frame. Rooms, a token and a sender that is left out
// are added, so that it does the same job as the others.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	writeWait  = 10 * time.Second
	pongWait   = 60 * time.Second
	pingPeriod = pongWait * 9 / 10 // below pongWait, so that a pong can be in time
	sendQueue  = 256
	// The tutorial has 512 bytes; the large contents need more.
	maxMessageSize = 1 << 20
)

type request struct {
	Type    string          `json:"type"`
	Room    string          `json:"room"`
	Content json.RawMessage `json:"content"`
}

type sender struct {
	Client string `json:"client"`
	User   string `json:"user"`
}

type envelope struct {
	Type    string          `json:"type"`
	Room    string          `json:"room"`
	Content json.RawMessage `json:"content,omitempty"`
	From    *sender         `json:"from,omitempty"`
	At      int64           `json:"at,omitempty"`
}

type client struct {
	conn *websocket.Conn
	send chan []byte
	from sender
}

var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	CheckOrigin:     func(*http.Request) bool { return true },
}

var clients uint64

func serve(h *hub, secret []byte, w http.ResponseWriter, r *http.Request) {
	user, ok := userOf(r.URL.Query().Get("token"), secret)
	if !ok {
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	id := strconv.FormatUint(atomic.AddUint64(&clients, 1), 10)
	c := &client{conn: conn, send: make(chan []byte, sendQueue), from: sender{id, user}}
	h.register <- c
	go c.writePump()
	go c.readPump(h)
}

func (c *client) readPump(h *hub) {
	defer func() {
		h.unregister <- c
		c.conn.Close()
	}()
	c.conn.SetReadLimit(maxMessageSize)
	c.conn.SetReadDeadline(time.Now().Add(pongWait))
	c.conn.SetPongHandler(func(string) error {
		return c.conn.SetReadDeadline(time.Now().Add(pongWait))
	})
	for {
		_, text, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		var asked request
		if json.Unmarshal(text, &asked) != nil {
			continue
		}
		if asked.Type == "join" {
			h.join <- membership{c, asked.Room}
			continue
		}
		text, _ = json.Marshal(envelope{"message", asked.Room, asked.Content, &c.from, time.Now().UnixMilli()})
		h.broadcast <- message{c, asked.Room, text}
	}
}

func (c *client) writePump() {
	ticker := time.NewTicker(pingPeriod)
	defer func() {
		ticker.Stop()
		c.conn.Close()
	}()
	for {
		select {
		case text, ok := <-c.send:
			c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if !ok {
				c.conn.WriteMessage(websocket.CloseMessage, nil)
				return
			}
			var err error
			if framesApart {
				err = c.conn.WriteMessage(websocket.TextMessage, text)
			} else {
				err = c.writeQueued(text)
			}
			if err != nil {
				return
			}
		case <-ticker.C:
			c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if c.conn.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		}
	}
}

// With a frame a message, as JSON clients need it and as the other servers send it; the tutorial joins them.
var framesApart = os.Getenv("FRAMES_APART") == "1"

// One frame for all that waits in the channel by now, a line each.
func (c *client) writeQueued(first []byte) error {
	w, err := c.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	w.Write(first)
	for n := len(c.send); n > 0; n-- {
		w.Write([]byte{'\n'})
		w.Write(<-c.send)
	}
	return w.Close()
}

func main() {
	h := newHub()
	go h.run()
	secret := []byte(os.Getenv("JWT_SECRET"))
	http.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) { serve(h, secret, w, r) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"listening\":{\"port\":%d}}\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, nil))
}
