import Apus
import CLI
import Testing

@Suite struct ChatTests {
  @Test func linesAreCommandsOrMessages() {
    let cases: [(String, ChatInput)] = [
      ("", .nothing), ("  \n ", .nothing), ("Hello", .message("Hello")), ("/help", .help),
      (" /reset ", .reset), ("/exit", .exit), ("/quit", .exit),
      ("/save a b.json", .save("a b.json")),
      ("/load\tx", .load("x")), ("//etc is a folder", .message("/etc is a folder")),
      ("/usr\n/bin", .message("/usr\n/bin")), ("  indented\n text", .message("  indented\n text")),
    ]
    for (text, input) in cases { #expect(ChatInput(text) == input, "\(text)") }
    for text in ["/save", "/load ", "/reset now", "/unknown", "/"] {
      guard case .mistake(let sentence) = ChatInput(text) else {
        Issue.record("\(text) is no mistake")
        continue
      }
      #expect(sentence.count > 10)
    }
  }

  @Test func conversationsAreReadBackAsTheyWere() throws {
    let transcript = Transcript(
      model: "m",
      messages: [
        Message(role: "system", content: "Be brief."),
        Message(role: "user", content: "a \"b\"\n\\ \u{1} é 日本 👍 /"),
        Message(role: "assistant", content: ""),
      ])
    #expect(try Transcript(transcript.bytes, path: "x") == transcript)
    let other = #"{"messages": [{"role": "user", "content": "x"}]}"#
    #expect(try Transcript(Array(other.utf8), path: "x").messages.count == 1)
  }

  @Test(arguments: [
    "", "{", "[]", "{}", #"{"messages": 1}"#, #"{"messages": [{"role": "user"}]}"#,
    #"{"messages": [{"role": "tool", "content": "x"}]}"#, "\u{0}",
  ])
  func whatIsNoConversationIsRefused(text: String) {
    let error = #expect(throws: ApusError.self) { try Transcript(Array(text.utf8), path: "x.json") }
    #expect(error?.description.contains("x.json") == true)
  }
}
