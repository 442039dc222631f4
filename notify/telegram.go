package notify

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
)

// telegramMessage is what Telegram takes (core.telegram.org/bots/api#sendmessage).
// The text is plain: no name that a stranger chose can mark anything up in it.
type telegramMessage struct {
	Chat      string `json:"chat_id"`
	Thread    int    `json:"message_thread_id,omitempty"`
	Text      string `json:"text"`
	Silent    bool   `json:"disable_notification,omitempty"`
	NoPreview bool   `json:"disable_web_page_preview,omitempty"`
}

// sendTelegram sends m in place of the library, which takes it for delivered
// when Telegram cannot be reached.
func sendTelegram(c *telegram.Config, m rendered) error {
	chat, thread, _ := strings.Cut(c.Chats[0], ":")
	number, _ := strconv.Atoi(thread)
	body, err := json.Marshal(telegramMessage{Chat: chat, Thread: number, Text: m.text, Silent: !c.Notification, NoPreview: !c.Preview})
	if err != nil {
		return err
	}
	resp, err := clientOf(false).Post("https://api.telegram.org/bot"+c.Token+"/sendMessage", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct{ OK bool }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || !answer.OK {
		return said("its answer is not Telegram's")
	}
	return nil
}
