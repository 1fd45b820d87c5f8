# frozen_string_literal: true

require_relative "support"

# The process killed with kill -9 at moments nobody chose, the gateway going down and up meanwhile. The ledger is outside: what the
# process said it had tracked.
class KillTest < Minitest::Test
  include Support

  LIVES = 5
  EVENTS = 2_000
  QUEUE = 500

  # Tracks at the pace of an application until it is killed, and says each number once it is tracked.
  def live(url, first)
    reader, writer = IO.pipe
    pid = fork do
      reader.close
      client = client(url, queue_events: QUEUE)
      EVENTS.times do |n|
        id = client.track("spoken", chat_id: n, properties: { n: first + n })
        writer.syswrite("#{first + n}\n") if id
        sleep 0.001 if (n % 10).zero?
      end
      sleep
    end
    writer.close
    [pid, Thread.new { reader.read }]
  end

  def test_a_killed_process_loses_at_most_its_queue_and_doubles_nothing
    gateway = gateway()
    lost_at_all = 0
    told = Array.new(LIVES) do |life|
      gateway.down if life.odd?
      pid, ledger = live(gateway.url, life * 1_000_000)
      sleep rand * 0.5 # any moment will do
      gateway.up if life.odd?
      sleep rand * 0.3
      Process.kill(:KILL, pid)
      Process.wait(pid)
      ledger.value.lines.map(&:to_i)
    end
    last = client(gateway.url)
    last.start
    eventually("what the dead left is sent") { files.empty? && last.stats[:in_flight].zero? }

    events = gateway.events
    assert_equal events.size, events.map { |event| event["event_id"] }.uniq.size, "one id, two events"
    arrived = events.map { |event| event["properties"]["n"] }
    assert_equal arrived.size, arrived.uniq.size, "an event under two ids"
    told.each do |numbers|
      lost = numbers - arrived
      assert_operator lost.size, :<=, QUEUE
      lost_at_all += lost.size
    end
    puts "#{LIVES} kills: #{told.sum(&:size)} events told of, #{lost_at_all} lost, at most #{QUEUE} each time allowed"
    assert_operator told.sum(&:size), :>, 100
  end
end
