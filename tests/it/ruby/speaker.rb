# frozen_string_literal: true

# Tracks so many events, numbered from the first, at the pace of an application, and says each number once it is tracked. Ends when
# nothing waits any more, here or in the files of others.
#
#   speaker.rb FIRST EVENTS
require File.expand_path("../../../clients/ruby/valera_analytics", __dir__)

$stdout.sync = true
first, events = ARGV.map { |argument| Integer(argument) }
AnalyticsService.configure do |config|
  config.queue_events = 500
  config.backoff_max = 0.5
  config.scan = 0.2
end
AnalyticsService.start
events.times do |n|
  told = AnalyticsService.track("spoken", chat_id: n % 50, properties: { n: first + n })
  puts first + n if told
  sleep 0.002 if (n % 10).zero?
end
loop do
  waiting = AnalyticsService.stats.values_at(:queued, :in_flight, :spilled_bytes).sum
  break if waiting.zero?

  sleep 0.02
end
