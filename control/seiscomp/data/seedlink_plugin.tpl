* template: $template
plugin $seedlink.source.id cmd="$seedlink.plugin_dir/rawdaq_plugin -s $sources.rawdaq.host -p $sources.rawdaq.port -c $sources.rawdaq.stream -m $sources.rawdaq.channelCodeMap -e $sources.rawdaq.miniSeedEncoding --flush-after $sources.rawdaq.flushAfter"
             timeout = 600
             start_retry = 60
             shutdown_wait = 10

