package main

import "encoding/json"

type membership struct {
	client *client
	room   string
}

type message struct {
	sender *client
	room   string
	text   []byte
}

type hub struct {
	clients    map[*client]map[string]bool
	rooms      map[string]map[*client]bool
	register   chan *client
	unregister chan *client
	join       chan membership
	broadcast  chan message
}

func newHub() *hub {
	return &hub{
		clients:    make(map[*client]map[string]bool),
		rooms:      make(map[string]map[*client]bool),
		register:   make(chan *client),
		unregister: make(chan *client),
		join:       make(chan membership),
		broadcast:  make(chan message),
	}
}

// The maps are this goroutine's alone, so they need no lock.
func (h *hub) run() {
	for {
		select {
		case c := <-h.register:
			h.clients[c] = make(map[string]bool)
		case c := <-h.unregister:
			h.remove(c)
		case m := <-h.join:
			h.add(m)
		case m := <-h.broadcast:
			for c := range h.rooms[m.room] {
				if c != m.sender {
					h.send(c, m.text)
				}
			}
		}
	}
}

func (h *hub) add(m membership) {
	rooms, ok := h.clients[m.client]
	if !ok {
		return
	}
	rooms[m.room] = true
	if h.rooms[m.room] == nil {
		h.rooms[m.room] = make(map[*client]bool)
	}
	h.rooms[m.room][m.client] = true
	text, _ := json.Marshal(envelope{Type: "joined", Room: m.room})
	h.send(m.client, text)
}

// As in the tutorial: a client whose channel is full is cut.
func (h *hub) send(c *client, text []byte) {
	select {
	case c.send <- text:
	default:
		h.remove(c)
	}
}

func (h *hub) remove(c *client) {
	rooms, ok := h.clients[c]
	if !ok {
		return
	}
	for room := range rooms {
		delete(h.rooms[room], c)
		if len(h.rooms[room]) == 0 {
			delete(h.rooms, room)
		}
	}
	delete(h.clients, c)
	close(c.send)
}
